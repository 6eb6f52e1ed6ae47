# source = "vault", path = "secret/data/registries/{host}", store = "write", erase = "delete": a folder of a K/V engine of
# version 2, mounted at secret/, that docker login, docker logout and list work on.
path "secret/data/registries/*" {
  capabilities = ["create", "read", "update"]
}
# docker logout deletes the version that it has read, and no newer one.
path "secret/delete/registries/*" {
  capabilities = ["update"]
}
path "secret/metadata/registries/" {
  capabilities = ["list"]
}
