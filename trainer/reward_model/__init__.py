"""Reward models: their data, their training with the information bottleneck of RLP-UML, their accuracy."""
