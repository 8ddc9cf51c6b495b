import Basics
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
    private var contents: TokenContents
    var tokens: Tokens { contents.tokens }

    /// Reads the file at `path`; throws what is wrong with it. Where `running` has read the same file before, one that
    /// is cut off is wrong.
    init(_ path: String, ownGroup: UInt32? = nil, running: TokenFile? = nil) throws(StartError) {
        self.path = path
        self.ownGroup = ownGroup
        do throws(ReadFailure) {
            let earlier = running.flatMap { $0.path == path ? $0.contents : nil }
            (state, contents) = try TokenFile.read(path, earlier: earlier)
        } catch {
            throw StartError(
                error.cause == nil ? .badFile : .noFile, "the token file \(path): \(error.text)", cause: error.cause)
        }
    }

    /// What was read, and what it means.
    private struct TokenContents {
        let bytes: [UInt8]
        let tokens: Tokens
    }

    /// Why the file cannot be used.
    private struct ReadFailure: Error {
        let text: String
        let cause: SystemError?
    }

    private static func read(
        _ path: String, earlier: TokenContents?
    ) throws(ReadFailure) -> (FileState, TokenContents) {
        let state: FileState
        let bytes: [UInt8]
        do throws(SystemError) {
            // Looked at first: what changes while it is read is read again.
            state = try FileState(ofFile: path)
        } catch {
            throw ReadFailure(text: "\(error.text) (\(error.call))", cause: error)
        }
        do throws(FileReadError) {
            bytes = try Posix.contents(ofTextFile: path, most: longest)
        } catch {
            throw ReadFailure(text: error.text, cause: error.cause)
        }
        if let earlier, TextFile.isCutOff(bytes, of: earlier.bytes), !bytes.isEmpty {
            throw ReadFailure(text: "it is cut off within a line: is it being written?", cause: nil)
        }
        do throws(TextFileError) {
            return (state, TokenContents(bytes: bytes, tokens: try Tokens(parsing: bytes)))
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
            (state, contents) = try TokenFile.read(path, earlier: contents)
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
