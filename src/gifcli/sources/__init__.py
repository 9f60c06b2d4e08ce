"""A source folder, archive or table -> labelled image files, found and identified before any pixel is decoded."""
