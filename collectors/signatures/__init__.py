"""Signatures of images, found and verified: cosign's (tag, OCI 1.1 artifact, bundle), notation's (JWS, COSE).

verdicts (what is said) <- keys, certificates, trust (whom we believe) <- lookups, discovery (what the
registry holds) <- simplesigning, bundle, notation (is it good) <- verifier (one image, one verdict).
"""
