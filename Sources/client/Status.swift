import Arguments
import Framing
import LifelineClient

extension ConnectionError {
    /// The exit status of a program that this error ends.
    var status: ExitStatus {
        switch kind {
        case .invalidOptions: .usage
        case .unknownHost: .noHost
        case .unreachable, .timedOut: .unavailable
        case .tls: .protocolError
        case .cancelled, .closedByProgram, .broken: .tryLater
        case .closedByServer, .dropped:
            switch code {
            case .unauthorized, .kicked: .noPermission
            case _ where isFinal: .protocolError
            default: .tryLater
            }
        }
    }
}

extension RequestError {
    /// The exit status of a program with a request that ended like this.
    var status: ExitStatus {
        switch self {
        case .failed(let failure): failure.status
        case .notSent(let reason), .refused(let reason), .unknown(let reason): reason.status
        }
    }
}

extension RequestError.Reason {
    fileprivate var status: ExitStatus {
        switch self {
        case .timedOut, .cancelled, .refused: .tryLater
        case .tooLarge: .usage
        case .connection(let error): error.status
        }
    }
}

extension RequestFailure {
    fileprivate var status: ExitStatus {
        switch code {
        case .busy, .shuttingDown, .refused, .cancelled: .tryLater
        default: .software
        }
    }
}
