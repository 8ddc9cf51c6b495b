/// Protocol.md, as it lies in the repository of these tests.
enum ProtocolDocument {
    static let path = "\(#filePath)".split(separator: "/").dropLast(4).map { "/\($0)" }.joined() + "/Protocol.md"

    static let text: String = {
        guard let text = ProcessFiles.text(path) else { fatalError("\(path) cannot be read") }
        return text
    }()
}
