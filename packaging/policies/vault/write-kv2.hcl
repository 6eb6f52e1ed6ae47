# source = "vault", path = "secret/data/registries/{host}", store = "write", erase = "delete": a folder of a K/V engine of
# version 2, mounted at secret/, that docker login, docker logout and list work on.
path "secret/data/registries/*" {
  capabilities = ["create", "delete", "read", "update"]
}
path "secret/metadata/registries/" {
  capabilities = ["list"]
}
