import Arguments
import LifelineServer
import Posix

/// An exit status of `server`: what it means, and which errors of the start lead to it.
struct ExitRule: Sendable {
    let status: ExitStatus
    let meaning: String
    /// Whether an error of the start ends the command so; none does where the command finds the reason itself.
    var holds: @Sendable (StartError) -> Bool = { _ in false }

    /// All of them; of the rules that hold for an error the first counts.
    static let all = [
        ExitRule(status: .ok, meaning: "after a shutdown"),
        ExitRule(
            status: .unavailable,
            meaning: "the address is in use, the program is not there or cannot run, or another server has the pidfile"
        ) { error in
            guard let cause = error.cause else { return error.kind == .noProgram }
            return cause.isAddressInUse || cause.isHeld || error.kind == .noProgram && cause.isNotFound
        },
        ExitRule(status: .noPermission, meaning: "a permission is missing") { $0.cause?.isPermissionDenied ?? false },
        ExitRule(status: .usage, meaning: "the command line is wrong") { $0.kind == .badOptions },
        ExitRule(status: .noInput, meaning: "the configuration or the token file cannot be read") {
            $0.kind == .noFile
        },
        ExitRule(status: .badConfiguration, meaning: "the configuration or the token file is wrong") {
            $0.kind == .badFile
        },
        ExitRule(status: .noUser, meaning: "a user or a group is unknown") { $0.kind == .noUser },
        ExitRule(status: .cannotCreate, meaning: "a file cannot be made") { $0.cause?.isNoPlaceForFile ?? false },
        ExitRule(status: .osError, meaning: "the system refused something, or --check found that it would") { _ in
            true
        },
        ExitRule(status: .software, meaning: "a daemon ended before it listened"),
        ExitRule(status: .ioError, meaning: "standard output cannot be written"),
    ]

    /// For `--help` and the man page.
    static var meanings: [ExitMeaning] {
        all.map { ExitMeaning($0.status, $0.meaning) }.sorted { $0.status < $1.status }
    }
}

/// An error that ends the command, and the status that it leaves with.
struct Failed: Error {
    let status: ExitStatus
    let text: String

    init(_ status: ExitStatus, _ text: String) {
        self.status = status
        self.text = text
    }

    init(_ error: StartError) {
        text = error.description
        status = ExitRule.all.first { $0.holds(error) }?.status ?? .osError
    }
}
