"""One module per page of the manual that is made from the code; `tools.reference_pages` writes them all."""
