import Arguments
import LifelineServer

/// What the exit statuses of `server` mean, for `--help` and the man page. `StartError.exitStatus` says which error of the
/// start leads to which.
enum ExitMeanings {
    static let all = [
        ExitMeaning(.ok, "after a shutdown"),
        ExitMeaning(
            .unavailable,
            "the address is in use, the program is not there or cannot run, or another server has the pidfile"),
        ExitMeaning(.noPermission, "a permission is missing"),
        ExitMeaning(.usage, "the command line is wrong"),
        ExitMeaning(.noInput, "the configuration or the token file cannot be read"),
        ExitMeaning(.badConfiguration, "the configuration or the token file is wrong"),
        ExitMeaning(.noUser, "a user or a group is unknown"),
        ExitMeaning(.cannotCreate, "a file cannot be made"),
        ExitMeaning(.osError, "the system refused something, or --check found that it would"),
        ExitMeaning(.software, "a daemon ended before it listened"),
        ExitMeaning(.ioError, "standard output cannot be written"),
    ].sorted { $0.status < $1.status }
}

/// An error that ends the command, and the status that it leaves with.
struct Failed: Error {
    let status: ExitStatus
    let text: String

    init(_ status: ExitStatus, _ text: String) {
        self.status = status
        self.text = text
    }

    init(_ error: StartError) { self.init(ExitStatus(rawValue: error.exitStatus) ?? .osError, error.description) }
}
