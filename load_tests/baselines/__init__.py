"""What others would build with the same tools, for comparison in the same run."""
