"""Keys: KMS key -> organization key -> person key -> record. Imports no Django.

`kms` is the port to the key management service, `envelope` the format of everything sealed,
`contexts` what each ciphertext is bound to, `tree` the keys between the two, `sealer` the small
interface for secrets that belong to no person.
"""
