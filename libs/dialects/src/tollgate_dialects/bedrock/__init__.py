"""What is Amazon Bedrock's, whichever of its operations is called: keys and frames."""
