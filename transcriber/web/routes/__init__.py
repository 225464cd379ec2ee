"""The handlers, by resource: what each path of the server answers. `app` says which path is which handler's."""
