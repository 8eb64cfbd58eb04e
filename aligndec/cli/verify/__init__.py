"""`aligndec verify`: whether an engine draws from the law that it claims."""
