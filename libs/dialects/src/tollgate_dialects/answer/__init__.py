"""What comes back: what it used, what of it may pass, what an error of it says."""
