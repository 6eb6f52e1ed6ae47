# source = "vault", path = "dockerhub/token/hubuser/read", method = "POST": an engine that makes a credential when it is
# written to. Docker Hub's takes `create`; others, such as ssh's one-time passwords, take `update` instead.
path "dockerhub/token/hubuser/read" {
  capabilities = ["create"]
}
