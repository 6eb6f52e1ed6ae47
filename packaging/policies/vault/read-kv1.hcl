# source = "vault", path = "kv/dockerhub": one secret of a K/V engine of version 1, mounted at kv/.
path "kv/dockerhub" {
  capabilities = ["read"]
}
