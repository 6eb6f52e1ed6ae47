# source = "vault", path = "secret/data/dockerhub": one secret of a K/V engine of version 2, mounted at secret/.
path "secret/data/dockerhub" {
  capabilities = ["read"]
}
