"""`aligndec tradeoff`: the study of probability against reward."""
