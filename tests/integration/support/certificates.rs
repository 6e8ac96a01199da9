//! Certificates of the tests' own authority, by openssl.

use std::path::Path;
use std::process::Command;

/// Creates an authority: `ca.crt`, `ca.key`.
pub fn make_authority(directory: &Path) {
    let usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
    request_certificate(directory, "ca", "/CN=vestibule-test-ca", &usage);
}

/// Creates a certificate that `ca.crt` signs, and its key: `NAME.crt`, `NAME.key`.
pub fn make_certificate(directory: &Path, name: &str, names: &str) {
    let names = format!("subjectAltName={names}");
    let signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE", "-addext", &names];
    request_certificate(directory, name, &format!("/CN={name}"), &signed);
}

fn request_certificate(directory: &Path, name: &str, subject: &str, further: &[&str]) {
    let common = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2";
    let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
    let output = Command::new("openssl")
        .args(common.split_whitespace())
        .args(["-keyout", &key, "-out", &certificate, "-subj", subject])
        .args(further)
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("openssl doesn't start ({error}): run `make peers`"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl: {complaint}");
}
