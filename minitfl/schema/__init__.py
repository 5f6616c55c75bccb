"""The .tflite file format: its tables, a checked reader, a writer, FlexBuffers. Independent of the rest of minitfl."""
