"""`aligndec corpus`: run, status, export, score."""
