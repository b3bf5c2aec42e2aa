"""What runs a model besides torch: the CPU's abilities, ONNX files and sessions, a graph as a module."""
