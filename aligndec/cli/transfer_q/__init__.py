"""`aligndec transfer-q`: decoding with a reward."""
