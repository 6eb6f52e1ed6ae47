# source = "vault", path = "kv/registries/{host}", store = "write", erase = "delete": the same in a K/V engine of version 1,
# mounted at kv/. What is overwritten or deleted there is gone.
path "kv/registries/*" {
  capabilities = ["create", "delete", "read", "update"]
}
path "kv/registries/" {
  capabilities = ["list"]
}
