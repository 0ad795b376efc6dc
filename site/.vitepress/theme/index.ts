/** The default theme of VitePress in the colours of Karin. @module */
import DefaultTheme from 'vitepress/theme';
import './karin.css';

export default DefaultTheme;
