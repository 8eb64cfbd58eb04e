"""`aligndec frontier`: how far results are from the best that their KL buys."""
