/// Files that people write, of any bytes: an editor's choices change nothing, and no file stops its reader.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzWrittenFiles(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    _ = try? Tokens(parsing: bytes)
    if case .script(let interpreter, let argument) = ProgramFormat(bytes) {
        _ = ProgramFormat.lookedUp(by: interpreter, argument)
    }
    require(!TextFile.isCutOff(bytes, of: bytes), "a whole file is cut off")
    require(!TextFile.isCutOff(bytes, of: Array(bytes.prefix(count / 2))), "a file that has grown is cut off")
    let settings = settings(bytes)
    guard let lines = lines(bytes) else {
        require(settings == nil, "a configuration is no text")
        return 0
    }
    var others = [[0xEF, 0xBB, 0xBF] + bytes, bytes + [0x0A]]
    if !bytes.contains(0x0D) { others.append(bytes.flatMap { $0 == 0x0A ? [0x0D, 0x0A] : [$0] }) }
    for other in others {
        require(FuzzWrittenFiles.lines(other) == lines, "an editor's choice changes a line")
        require(FuzzWrittenFiles.settings(other) == settings, "an editor's choice changes a configuration")
    }
    return 0
}

private struct Settings: Equatable {
    var texts: [String] = []
    var isQuiet = false
}

private let tool = Command<Settings>(
    "tool", summary: "Does it.", defaults: Settings(),
    flags: [
        Flag("--a", "TEXT", "a text") { $0.texts.append($1) }.repeated,
        Flag("--q", "says nothing") { $0.isQuiet = true },
        .rest("--exec", "COMMAND ...", "a program") { settings, words throws(UsageError) in settings.texts += words },
    ])

private func settings(_ bytes: [UInt8]) -> Settings? {
    var settings = Settings()
    do { try tool.parse(file: bytes, named: "file", into: &settings) } catch { return nil }
    return settings
}

private func lines(_ bytes: [UInt8]) -> [[UInt8]]? { (try? TextFile(bytes))?.lines.map { Array($0.bytes) } }
