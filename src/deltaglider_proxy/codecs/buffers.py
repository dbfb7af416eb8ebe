"""The byte buffers that codecs accept: anything that lends its memory without a copy."""

import mmap

Buffer = bytes | bytearray | memoryview | mmap.mmap
