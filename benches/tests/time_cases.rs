//! The protocol of `time_cases`, spoken from outside.

use std::error::Error;
use std::io::Write;
use std::process::{Command, Stdio};
use std::{fs, path::Path};

const SHAPES: &str = "kind,name,N,Cin,H,W,Cout,KH,KW,sh,sw,ph,pw,dh,dw,groups
conv,line,1,1,1,4,1,1,2,1,1,0,0,1,1,1
gemm,product,1,2,1,2,2,1,1,1,1,0,0,1,1,1
maxpool,largest,1,1,2,2,1,2,2,2,2,0,0,1,1,1
avgpool,mean,2,1,2,2,1,2,2,2,2,0,0,1,1,1
conv,two_channels,1,2,1,3,2,1,2,1,1,0,0,1,1,1
conv,no_tensors,1,1,1,4,1,1,2,1,1,0,0,1,1,1
fft,other_kind,1,1,1,4,1,1,2,1,1,0,0,1,1,1
";

fn write(data: &Path, case: &str, tensors: &[(&str, &[f32])]) -> Result<(), Box<dyn Error>> {
    fs::create_dir(data.join(case))?;
    for (tensor, values) in tensors {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(data.join(case).join(tensor).with_extension("bin"), bytes)?;
    }
    Ok(())
}

#[test]
fn answers_line_by_line() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("shapes.csv"), SHAPES)?;
    write(folder.path(), "line", &[("x", &[1., 2., 4., 8.]), ("w", &[1., 3.]), ("y", &[7., 14., 28.])])?;
    let product = [("x", &[1., 2., 3., 4.][..]), ("w", &[1., 0., 1., 1.]), ("y", &[1., 2., 4., 6.5])];
    write(folder.path(), "product", &product)?;
    // The first output is a sum over both channels, the second the second value of the first channel.
    let two_channels = [
        ("x", &[1., 2., 4., 10., 20., 40.][..]),
        ("w", &[1., 1., 1., 1., 0., 1., 0., 0.]),
        ("y", &[33., 66., 2., 4.]),
    ];
    write(folder.path(), "two_channels", &two_channels)?;
    write(folder.path(), "largest", &[("x", &[1., 9., 3., 4.]), ("y", &[9.])])?;
    write(folder.path(), "mean", &[("x", &[1., 2., 3., 4., 0., 0., 0., 2.]), ("y", &[2.5, 0.5])])?;

    for options in [&["--threads", "1"][..], &["--threads", "1", "--channels-last"]] {
        answers(folder.path(), options)?;
    }
    Ok(())
}

fn answers(folder: &Path, options: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_time_cases"))
        .args(options)
        .env("PEERS_DIR", folder)
        .env("PEERS_DATA", folder)
        .env("PEERS_MIN_S", "0")
        .env("PEERS_CAP_S", "0.01")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let names = b"line\nproduct\n\nlargest\nmean\ntwo_channels\nno_tensors\nother_kind\nunlisted\n";
    child.stdin.take().ok_or("no stdin")?.write_all(names)?;
    let output = child.wait_with_output()?;
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout)?;
    let lines: Vec<&str> = text.lines().collect();

    assert_eq!(lines[0], "READY");
    let expected = [
        ("line", 0.0, 28.0),
        ("product", 0.5, 6.5),
        ("largest", 0.0, 9.0),
        ("mean", 0.0, 2.5),
        ("two_channels", 0.0, 66.0),
    ];
    for (line, (name, error, max)) in lines[1..6].iter().zip(expected) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!((fields[0], fields[1], fields.len()), ("R", name, 8), "{line}");
        let (median, min): (f64, f64) = (fields[2].parse()?, fields[3].parse()?);
        assert!(0.0 < min && min <= median, "{line}");
        assert!(fields[4].parse::<usize>()? >= 2, "{line}");
        assert_eq!((fields[5].parse::<f64>()?, fields[6].parse::<f64>()?), (error, max), "{line}");
        fields[7].parse::<u64>()?;
    }
    assert!(lines[6].starts_with("E,no_tensors,"), "{}", lines[6]);
    assert_eq!(lines[7..], ["E,other_kind,kind fft is not supported", "E,unlisted,no such case"]);
    Ok(())
}
