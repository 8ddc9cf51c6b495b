"""Certificates for a run, made with the command openssl."""

import subprocess


class Certificates:
    """An authority with a server's certificate, an expired one, that of another authority, and those of clients."""

    def __init__(self, bed):
        self.bed = bed
        with open(bed.path("ca.cnf"), "w") as file:
            file.write(f"[ca]\ndefault_ca=a\n[a]\ndatabase={bed.path('index')}\nnew_certs_dir={bed.folder}\n"
                       f"serial={bed.path('serial')}\ndefault_md=sha256\npolicy=p\ncopy_extensions=copy\n"
                       "unique_subject=no\ndefault_crl_days=30\n[p]\ncommonName=supplied\n")
        for name, text in (("index", ""), ("serial", "1000\n")):
            with open(bed.path(name), "w") as file:
                file.write(text)
        for name in ("ca", "other-ca"):
            self.openssl("req", "-x509", "-new", *self.new_key(name), "-subj", f"/CN={name}", "-days", "30", "-out",
                         f"{name}.pem")
        self.make("server")
        self.make("renewed")
        self.make("expired", end="20200201000000Z")
        for name in ("till-7", "till-8"):
            self.make(name)
        self.revoke("till-8")

    def openssl(self, *words):
        done = subprocess.run(["openssl", *words], cwd=self.bed.folder, capture_output=True, text=True, timeout=20)
        if done.returncode:
            raise OSError(f"openssl {' '.join(words)}: {done.stderr[-800:]}")
        return done.stdout

    @staticmethod
    def new_key(name):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")

    def revoke(self, name):
        """Puts NAME into ca.crl."""
        authority = ("ca", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key")
        self.openssl(*authority, "-revoke", f"{name}.crt")
        self.openssl(*authority, "-gencrl", "-out", "ca.crl")

    def make(self, name, end="20400101000000Z"):
        """NAME.crt, NAME.key, and both in NAME.pem."""
        self.openssl("req", "-new", *self.new_key(name), "-subj", f"/CN={name}", "-addext",
                     "subjectAltName=DNS:server.test,IP:127.0.0.1", "-out", f"{name}.csr")
        self.openssl("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key",
                     "-startdate", "20200101000000Z", "-enddate", end, "-in", f"{name}.csr", "-out", f"{name}.crt")
        with open(self.bed.path(f"{name}.pem"), "w") as whole:
            for part in ("crt", "key"):
                with open(self.bed.path(f"{name}.{part}")) as file:
                    whole.write(file.read())
