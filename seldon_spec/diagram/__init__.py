"""Drawings of graphs: nodes and edges of the steps, as Mermaid text and as SVG."""
