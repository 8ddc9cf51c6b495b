import Glibc
import Testing

@testable import LifelineServer
@testable import Posix

@Suite("The exit status of a start that fails")
struct StartErrorTests {
    @Test(
        "What the system said counts where it says more than the kind",
        arguments: [
            (.cannotListen, SystemError("bind", EADDRINUSE), 69),
            (.cannotListen, SystemError("bind", EADDRNOTAVAIL), 71),
            (.cannotListen, SystemError("bind", EACCES), 77), (.cannotOpen, SystemError("open", ENOENT), 73),
            (.cannotOpen, SystemError("open", EPERM), 77), (.cannotOpen, .held, 69),
            (.noProgram, SystemError("execve", ENOENT), 69), (.noProgram, SystemError("execve", EACCES), 77),
            (.noProgram, SystemError("execve", EIO), 71), (.refused, SystemError("fork", ENOMEM), 71),
            (.cannotBecome, SystemError("setuid", EPERM), 77), (.noFile, SystemError("open", ENOENT), 66),
        ] as [(StartError.Kind, SystemError, Int32)])
    func status(kind: StartError.Kind, cause: SystemError, expected: Int32) {
        #expect(StartError(kind, "x", cause: cause).exitStatus == expected)
    }
}
