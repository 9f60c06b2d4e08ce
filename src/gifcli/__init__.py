"""gifcli turns a small folder of labelled images into a bigger, useful, traceable training set."""

__version__ = "0.1.0"
