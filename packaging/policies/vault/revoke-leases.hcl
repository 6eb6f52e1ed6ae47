# For method = "token" and for logins that give batch tokens, beside one of the two policies that make credentials: then
# the helper gives a credential that could not be used back by its lease. Whoever may do this can revoke any lease whose
# id they know, so leave it out wherever the helper logs in itself: it gives back its login, and the lease goes with it.
path "sys/leases/revoke" {
  capabilities = ["update"]
}
