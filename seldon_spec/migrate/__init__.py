"""Migration from the files of a Seldon Core image to a seldon.yaml."""
