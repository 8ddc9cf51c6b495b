import Arguments
import LifelineClient

/// The flags of `client` and `client bench` that say where the servers are, and how long to try.
extension Flag {
    /// The longest time that the library takes, about a century.
    private static var forever: Duration { .seconds(3_000_000_000) }
    private static var longest: Duration { .seconds(365 * 24 * 3600) }

    /// `--host`, with several servers in one value or in several.
    static func host(_ path: WritableKeyPath<Settings, [String]> & Sendable) -> Flag {
        Flag(
            "--host", "HOST,...", "a name, an address or unix:/path, with :PORT or without; several take turns"
        ) { settings, text throws(UsageError) in
            settings[keyPath: path] += text.split(separator: ",", omittingEmptySubsequences: false).map {
                // Blanks around a comma are no part of a name.
                String($0.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
            }
        }.defaulting { _ in ClientSettings.defaultHost }
    }

    /// The section of `--tls` and its files.
    static func tlsSection(_ path: WritableKeyPath<Settings, TLSFlags> & Sendable) -> FlagSection<Settings> {
        func text(
            _ name: String, _ value: String, _ help: String, unset: String?,
            _ option: WritableKeyPath<TLSOptions, String?> & Sendable
        ) -> Flag {
            let flag = Flag(name, value, help) { settings, text throws(UsageError) in
                guard !text.isEmpty else { throw UsageError("'' is no \(value.lowercased())") }
                settings[keyPath: path].options[keyPath: option] = text
            }
            return unset.map { unset in flag.defaulting { _ in unset } } ?? flag
        }
        return FlagSection(
            "TLS",
            [
                Flag("--tls", "speak TLS, with the system's OpenSSL 3 or 1.1.1; the flags below need it") {
                    $0[keyPath: path].isOn = true
                },
                text(
                    "--ca", "FILE", "trust the authorities in this file (PEM)", unset: "those of the system", \.caFile),
                text(
                    "--cert", "FILE", "show the server this certificate, with its chain behind it (PEM)", unset: "none",
                    \.certificateFile),
                text(
                    "--key", "FILE", "the key of the certificate (PEM, not encrypted)", unset: "in the file of --cert",
                    \.keyFile),
                text(
                    "--server-name", "NAME", "the name that the server's certificate has to be for, and SNI",
                    unset: "the host", \.serverName),
                text(
                    "--tls-alpn", "NAME", "ask for this protocol (ALPN); a server that knows no ALPN is accepted",
                    unset: "none", \.alpn),
                Flag(
                    "--insecure",
                    "believe any certificate: whoever is on the path can read and change everything, the token too"
                ) { $0[keyPath: path].options.verifies = false },
            ])
    }

    /// `--wait`, for a server that is not there yet.
    static func wait(_ path: WritableKeyPath<Settings, Duration> & Sendable) -> Flag {
        Flag(
            "--wait", "DURATION", "at the start, wait for a server that is not there yet; forever: without a limit"
        ) { settings, text throws(UsageError) in
            settings[keyPath: path] = try read(text) ?? forever
        }.defaulting { settings in describe(settings[keyPath: path]) }
    }

    /// A duration or `forever`, which stands for nil.
    static func duration(
        _ name: String, _ help: String, _ path: WritableKeyPath<Settings, Duration?> & Sendable
    ) -> Flag {
        Flag(name, "DURATION", help + "; forever: without a limit") { settings, text throws(UsageError) in
            settings[keyPath: path] = try read(text)
        }.defaulting { settings in settings[keyPath: path].map(describe) ?? "forever" }
    }

    private static func read(_ text: String) throws(UsageError) -> Duration? {
        if text == "forever" { return nil }
        do throws(UsageError) {
            return try FlagValue.duration(text, in: .zero...longest)
        } catch {
            throw UsageError("'\(text)' is not a duration like 30, 2.5, 500ms, 2m or 1h, and not forever")
        }
    }

    private static func describe(_ duration: Duration) -> String {
        let seconds = Int(duration / .seconds(1))
        if duration == .zero { return "0" }
        return seconds >= 60 && seconds % 60 == 0 ? "\(seconds / 60)m" : FlagValue.describe(duration)
    }
}
