"""The settings of TLS, with Redis's names where it has them. `server/tls.py` does what they say."""

from typing import Final

from respdyn.config_values import PORT, Setting

TLS_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("tls-port", "tls_port", "int", 0, "where clients connect over TLS; 0: not served",
            0, PORT, redis="tls-port"),
    Setting("tls-cluster-port", "tls_cluster_port", "int", 0,
            "where cluster-aware clients connect over TLS; 0: tls-port + 1000, if there is one",
            0, PORT),
    Setting("tls-replication", "tls_replication", "flag", False,
            "nodes speak TLS to each other, and each must have a certificate of the same CA",
            redis="tls-replication"),
    Setting("tls-http", "tls_http", "flag", False, "the HTTP port speaks TLS"),
    Setting("tls-cert-file", "tls_cert_file", "text", "",
            "this node's certificate and chain (PEM)", runtime=True, redis="tls-cert-file"),
    Setting("tls-key-file", "tls_key_file", "text", "", "its private key (PEM)", 0, 0, (), True,
            "tls-key-file"),
    Setting("tls-key-file-pass", "tls_key_file_pass", "secret", "", "its passphrase", 0, 0, (),
            True, "tls-key-file-pass"),
    Setting("tls-ca-cert-file", "tls_ca_cert_file", "text", "",
            "certificates of those whose word counts (PEM)", 0, 0, (), True, "tls-ca-cert-file"),
    Setting("tls-ca-cert-dir", "tls_ca_cert_dir", "text", "",
            "such certificates, as openssl rehash names them", 0, 0, (), True, "tls-ca-cert-dir"),
    Setting("tls-auth-clients", "tls_auth_clients", "choice", "yes",
            "clients need a certificate: yes, no, or optional: judged if there is one",
            choices=("yes", "no", "optional"), runtime=True, redis="tls-auth-clients"),
    Setting("tls-protocols", "tls_protocols", "text", "TLSv1.2 TLSv1.3",
            "versions that are spoken", runtime=True, redis="tls-protocols"),
    Setting("tls-ciphers", "tls_ciphers", "text", "",
            "of TLS 1.2, in OpenSSL's words; empty: its own choice", 0, 0, (), True, "tls-ciphers"),
)
