"""Where the log is published: the seam of write-once storage, and the directory."""
