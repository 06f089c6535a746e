"""What Alibaba's models do, in whichever protocol they are asked: told by their names."""
