"""From the files of a Seldon Core image to a seldon.yaml: what they say, which of them counts, and what is left out."""
