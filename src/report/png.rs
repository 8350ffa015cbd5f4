//! Plots as PNG (feature `png`), rasterised in pure Rust with an embedded font: no font of the system is looked for, so
//! every machine makes the same picture.
//!
//! The font is DejaVu Sans (Bitstream Vera licence). Colours are those of the light page.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::results::FileSet;

/// Pixels per shown unit.
const SCALE: f32 = 2.0;

/// Family name of the embedded font.
const FAMILY: &str = "DejaVu Sans";

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.load_font_data(dejavu::sans::bold().to_vec());
    fonts.set_sans_serif_family(FAMILY);
    Arc::new(fonts)
});

/// Adds `plots/X.png` for each `plots/X.svg`, twice its size in pixels. Fails only where a plot of ours is no SVG.
pub fn add(files: &mut FileSet<'_>) -> Result<(), String> {
    let mut made = Vec::new();
    for (path, _) in files.iter() {
        let Some(stem) = path.strip_suffix(".svg") else { continue };
        let svg = files.bytes(path).unwrap_or_default();
        let png = render(&String::from_utf8_lossy(svg)).map_err(|e| format!("{path}: {e}"))?;
        made.push((format!("{stem}.png"), png));
    }
    for (path, png) in made {
        files.add(&path, png);
    }
    Ok(())
}

/// One picture.
fn render(svg: &str) -> Result<Vec<u8>, String> {
    let options = Options { font_family: FAMILY.to_owned(), fontdb: FONTS.clone(), ..Options::default() };
    // Colours stand in the attributes too: the style sheet only adds the dark mode.
    let plain = super::html::without_style(svg);
    let tree = Tree::from_str(&plain, &options).map_err(|e| e.to_string())?;
    let size = tree.size().scale_by(SCALE).map(|s| s.to_int_size()).ok_or("it has no size")?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or("it has no size")?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_drawn_without_fonts_of_the_system() {
        let svg = |text: &str| {
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"60\" height=\"20\" viewBox=\"0 0 60 20\">\
                 <text x=\"2\" y=\"15\" font-family=\"system-ui, sans-serif\" font-size=\"12\">{text}</text></svg>"
            )
        };
        let (empty, some, other) =
            (render(&svg("")).unwrap(), render(&svg("≤ 5 µs")).unwrap(), render(&svg("± 2")).unwrap());
        assert!(some.starts_with(b"\x89PNG") && some != empty && some != other);
        assert!(render("no picture").is_err());
    }
}
