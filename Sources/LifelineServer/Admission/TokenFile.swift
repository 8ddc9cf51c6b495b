import Posix

/// The token file: read at the start, and again whenever it has changed.
///
/// The parent looks before each fork, with one stat(2), so that a token that was put in or taken out counts from the
/// next connection on; the child inherits the table.
final class TokenFile {
    /// A file of this many bytes holds some ten thousand tokens.
    private static let longest = 1 << 20

    private let path: String
    /// The group that the server has become: that it may read the file is what the file has a group for.
    private let ownGroup: UInt32?
    private var state: FileState?
    private(set) var tokens: Tokens

    /// Reads the file at `path`; throws what is wrong with it.
    init(_ path: String, ownGroup: UInt32? = nil) throws(StartError) {
        self.path = path
        self.ownGroup = ownGroup
        do throws(ReadFailure) {
            (state, tokens) = try TokenFile.read(path)
        } catch {
            throw StartError(
                error.cause == nil ? .badFile : .noFile, "the token file \(path): \(error.text)", cause: error.cause)
        }
    }

    /// Why the file cannot be used.
    private struct ReadFailure: Error {
        let text: String
        let cause: SystemError?
    }

    private static func read(_ path: String) throws(ReadFailure) -> (FileState, Tokens) {
        let state: FileState
        var bytes: [UInt8] = []
        do throws(SystemError) {
            // Looked at first: what changes while it is read is read again.
            state = try FileState(ofFile: path)
            if state.isRegular { bytes = try contents(ofFile: path, most: longest) }
        } catch {
            throw ReadFailure(text: "\(error.text) (\(error.call))", cause: error)
        }
        guard state.isRegular else { throw ReadFailure(text: "it is not a regular file", cause: nil) }
        guard bytes.count <= longest else { throw ReadFailure(text: "it is over \(longest) bytes", cause: nil) }
        do throws(TokenFileError) {
            return (state, try Tokens(parsing: bytes))
        } catch {
            throw ReadFailure(text: error.description, cause: nil)
        }
    }

    /// Warns where others than its owner can read the file.
    func checkPermissions(_ log: Log) {
        guard state?.isOpenToOthers(but: ownGroup) ?? false else { return }
        log.write(.tokenFileOpenToOthers) {
            $0.text(.path, path)
            $0.text(.text, "its group or everybody may read it: chmod 600 closes it")
        }
    }

    /// Reads the file again if it has changed, and returns whether the tokens are others now. Where it cannot be used,
    /// one line is logged and the tokens stay as they were: a slip of the pen neither lets everybody in nor shuts
    /// everybody out.
    func refresh(_ log: Log) -> Bool {
        let now = try? FileState(ofFile: path)
        guard now != state else { return false }
        state = now
        do throws(ReadFailure) {
            (state, tokens) = try TokenFile.read(path)
            log.write(.tokenFileRead) {
                $0.text(.path, path)
                $0.number(.tokens, tokens.count)
            }
            checkPermissions(log)
            return true
        } catch {
            log.write(.tokenFileNotRead) {
                $0.text(.path, path)
                $0.text(.text, "\(error.text); the tokens stay as they were")
            }
            return false
        }
    }
}
