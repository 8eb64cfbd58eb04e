"""`python -m aligndec.cli`, the same as the command `aligndec`."""

from aligndec.cli import app

if __name__ == "__main__":
    app()
