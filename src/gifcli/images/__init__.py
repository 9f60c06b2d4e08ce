"""One pixel convention: image files of any kind -> uint8 sRGB arrays, and the marks in the files that gifcli writes."""
