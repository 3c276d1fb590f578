"""One file per published figure: how it is measured and which bar it has to meet."""
