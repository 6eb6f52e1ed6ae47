# source = "vault", path = "database/creds/registry": an engine that makes a credential when it is read.
path "database/creds/registry" {
  capabilities = ["read"]
}
