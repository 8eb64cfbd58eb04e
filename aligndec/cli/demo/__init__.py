"""`aligndec demo`: strings under several adaptors with their books."""
