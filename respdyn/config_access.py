"""Settings about who may speak to a node and how that is proved: passwords, users, TLS.

With Redis's names where it has them. What those of TLS say, `server/tls.py` does.
"""

from typing import Final

from respdyn.config_values import PORT, Setting

ACCESS_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("requirepass", "requirepass", "secret", "",
            "password that clients must give", runtime=True, redis="requirepass"),
    Setting("requirepass-file", "requirepass_file", "text", "",
            "file that holds that password, read at the start; not on the command line"),
    Setting("aclfile", "aclfile", "text", "",
            "file of users at start and for ACL SAVE and LOAD; the same at all nodes",
            redis="aclfile"),
    Setting("acllog-max-len", "acllog_max_len", "int", 128,
            "refusals kept for ACL LOG; each costs about 1 KB", 0, 100_000, (), True,
            "acllog-max-len"),
    Setting("protected-mode", "protected_mode", "flag", True,
            "without a password, serve only clients of this machine", runtime=True,
            redis="protected-mode"),
    Setting("enable-debug-command", "enable_debug_command", "choice", "no",
            "who may use DEBUG: no, local (from this machine) or yes",
            choices=("no", "yes", "local"), redis="enable-debug-command"),
    # TLS.
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
