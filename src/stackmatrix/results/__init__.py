"""What a run leaves on disk, a module for each feature."""
