import Glibc
import RawWire

/// Certificates that openssl(1) makes in a directory of its own, which lasts as long as this object.
package final class TestCertificates: Sendable {
    package let directory: String
    /// The certificate of the authority that has signed all of them but `strange`.
    package var authority: String { file("ca.pem") }
    /// For localhost, server.test and 127.0.0.1.
    package var server: Files { Files(directory, "server") }
    /// The same names and key, and its time is over.
    package var expired: Files { Files(directory, "expired", key: "server") }
    /// The same names and key, and its time has not begun.
    package var early: Files { Files(directory, "early", key: "server") }
    package var other: Files { Files(directory, "other") }
    package var client: Files { Files(directory, "client") }
    /// The key of `client`, encrypted.
    package var encryptedKey: String { file("encrypted.key") }
    /// Signed by itself.
    package var strange: Files { Files(directory, "strange") }

    /// A certificate with its key.
    package struct Files: Sendable {
        package let certificate: String
        package let key: String
        /// The two as flags take them.
        package var pair: String { "\(certificate),\(key)" }

        fileprivate init(_ directory: String, _ name: String, key: String? = nil) {
            certificate = "\(directory)/\(name).pem"
            self.key = "\(directory)/\(key ?? name).key"
        }
    }

    /// Whether this machine has openssl(1).
    package static let canBeMade = (try? run(["openssl", "version"])) == .status(0)

    private static func run(_ line: [String]) throws -> Spawned.Exit {
        let command = try Spawned(line)
        _ = command.output.waitForEnd(within: .seconds(20))
        let exit = try command.wait(within: .seconds(20))
        if exit != .status(0) { throw Unexpected("\(line.joined(separator: " ")): \(command.errors.textSoFar)") }
        return exit
    }

    package init() throws {
        var template = Array("/tmp/lifeline-certificates-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw systemError("mkdtemp") }
        directory = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        _ = write(TestCertificates.configuration, to: "ca.cnf")
        _ = try TestCertificates.run(["sh", "-euc", TestCertificates.script, "sh", directory])
    }

    deinit { _ = try? TestCertificates.run(["rm", "-rf", directory]) }

    private static let configuration = """
        [ca]
        default_ca = own
        [own]
        database = index.txt
        new_certs_dir = .
        certificate = ca.pem
        private_key = ca.key
        default_md = sha256
        policy = any
        rand_serial = yes
        unique_subject = no
        [any]
        commonName = supplied

        """

    private static let script = """
        cd "$1"
        : >index.txt
        key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
        openssl req -x509 -days 2 -subj /CN=Lifeline-CA $key -keyout ca.key -out ca.pem
        openssl req -x509 -days 2 -subj /CN=strange $key -keyout strange.key -out strange.pem
        sign() { # FILE REQUEST NAMES BEGIN END
            [ -e "$2.csr" ] || openssl req -subj "/CN=$2" $key -keyout "$2.key" -out "$2.csr"
            printf 'subjectAltName=%s\n' "$3" >names
            openssl ca -batch -notext -config ca.cnf -in "$2.csr" -out "$1.pem" -extfile names -startdate "$4" -enddate "$5"
        }
        names=DNS:localhost,DNS:server.test,IP:127.0.0.1
        sign server server $names 20200101000000Z 20900101000000Z
        sign other other DNS:other.test 20200101000000Z 20900101000000Z
        sign client client DNS:client 20200101000000Z 20900101000000Z
        sign expired server $names 20200101000000Z 20210101000000Z
        sign early server $names 20900101000000Z 20910101000000Z
        openssl pkey -in client.key -aes128 -passout pass:secret -out encrypted.key
        """

    package func file(_ name: String) -> String { "\(directory)/\(name)" }

    /// Writes the file `name`; returns its path.
    package func write(_ text: String, to name: String) -> String {
        let path = file(name)
        if let stream = fopen(path, "w") {
            fputs(text, stream)
            fclose(stream)
        }
        return path
    }
}
